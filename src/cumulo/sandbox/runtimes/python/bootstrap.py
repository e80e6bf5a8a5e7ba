"""The first thing that a Python function's process runs."""

import lambda_bootstrap

lambda_bootstrap.main()

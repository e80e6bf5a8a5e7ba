# noqa: INP001 - a folder of files for functions, no package of ours
"""The first thing that a Python function's process runs."""

import lambda_bootstrap  # type: ignore[import-not-found]

lambda_bootstrap.main()

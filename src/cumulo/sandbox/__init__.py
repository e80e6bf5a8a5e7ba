"""What runs functions: isolated processes that speak the Runtime API."""

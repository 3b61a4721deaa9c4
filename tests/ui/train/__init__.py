"""The Train tab without a browser."""

"""Outputs of the code as it once was, and the check that today's code still gives them."""

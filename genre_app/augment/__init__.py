"""Changes made to training audio so that a network hears more than it was given."""

"""The lower part of the Collect tab: teach a model from the collection, and see how it does."""

"""The code that ``medcoss export --layout huggingface`` writes beside the weights. It stands alone."""

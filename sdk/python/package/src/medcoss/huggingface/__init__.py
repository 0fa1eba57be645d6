"""The files that ``medcoss export --layout huggingface`` writes beside the weights. They import nothing of this package."""

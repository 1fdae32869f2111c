"""One file a stage: columns in, columns out. Stages know nothing of files, Ray or other stages."""

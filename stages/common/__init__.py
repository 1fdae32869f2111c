"""What several stages share and no recipe names: loaders of models, stages within stages."""

"""What the scenes source is made of: what is in a scene, how it is painted, what is said of it."""

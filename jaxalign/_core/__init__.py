"""What every other room builds on: checks of arguments, float64, linear algebra, meshes, files."""

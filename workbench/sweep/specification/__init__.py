"""What a sweep is asked to do: the YAML file, its shape, and whether every name in it exists. Runs nothing."""

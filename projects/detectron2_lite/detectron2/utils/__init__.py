"""What all other packages build on."""

"""What any part may use: errors, files, seeds, precisions, processes, provenance."""

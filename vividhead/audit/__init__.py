"""What became of the footage: everything here reads a dataset's tables, never footage or models."""

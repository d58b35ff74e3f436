"""One file for each score; the file name is the score's name. They never import each other."""

"""One file for each choice of conf/task: it wires the packages together and holds no science."""

"""One game a file: a state, its rules, and what only it needs."""

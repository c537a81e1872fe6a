"""Function files for the tests, well-formed ones; the others are written where they are tested."""

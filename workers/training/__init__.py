"""One block of cells, trained and measured."""

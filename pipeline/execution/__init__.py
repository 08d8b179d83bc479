"""Tasks on Ray or in this process, and the driver that watches over them."""

"""The forms that laws take; a law is an instance of one of them."""

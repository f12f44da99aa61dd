"""Tables and files that a user hands over: one reader for all of them."""

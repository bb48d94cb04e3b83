"""`firstvalue doctor`: what is usually wrong on the first days, one small check each, and what to do about it."""

"""Accounts from a spreadsheet: a CSV file read strictly, its columns understood, its rows made into commands."""

"""Many pictures: archives in and out, a ledger of what is done, and the worker that keeps it."""

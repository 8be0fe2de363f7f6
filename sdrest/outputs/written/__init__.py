"""What programs have written into picture files: where it lies, and what it says in A1111's words."""

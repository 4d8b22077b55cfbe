"""What a sentence says: its clauses, and what each asks of a motion."""

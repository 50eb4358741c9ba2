"""How the embedded model is made: one loop over photos held in memory, ended by the clock."""

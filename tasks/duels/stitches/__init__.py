"""Every way to combine experts against each other: trained alike, scored alike, with what each costs."""

"""``killcord demo --story``: one agent, two systems, all the way from gone rogue to work that is done."""

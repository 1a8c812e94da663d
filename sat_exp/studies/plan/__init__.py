"""What a measurement will cost, before it is made."""

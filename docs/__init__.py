"""What only we need, and the commands that write the pages made from the code."""

"""What defects are: the DefectSpec language, knowledge cards, and their search."""

"""What an object has that can be taken away, exchanged or bent: found in the photo and measured."""

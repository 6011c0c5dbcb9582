// The tests of the room go here.

// The room is built here.

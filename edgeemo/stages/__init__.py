"""What happens to a frame, one file per stage; `pipeline` joins them."""

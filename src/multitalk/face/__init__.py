"""Where the faces are, and the plane geometry that moves them."""

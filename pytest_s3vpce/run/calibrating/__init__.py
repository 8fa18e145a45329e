"""The experiments of `s3vpce calibrate`: a bucket and roles of its own, what is asked of them, and what is found."""

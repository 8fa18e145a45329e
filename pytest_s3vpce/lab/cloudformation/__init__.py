"""CloudFormation in the lab: an engine of its own, which makes what it knows and refuses the rest by name."""

"""What jax needs to be told: the ground that every other room stands on."""

"""What raydt's training is measured against, written or called as well as their users would."""

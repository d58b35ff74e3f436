"""The whole job at size, its stage bodies made up: what the driver, the ledger, the tables and the packer cost."""

"""Many video files -> one Parquet dataset, on the cores of one machine or on a Ray cluster. Called by `edgeemo batch`.

`inputs` finds the files, `dataset` knows the folder that is written, `work` recognises one file or one part of it,
`pool` and `cluster` have workers do that, `seams` joins the parts of a long file, `command` puts them together.
"""

"""Many video files -> one Parquet dataset, on the cores of one machine or on a Ray cluster. Called by `edgeemo batch`.

`inputs` finds the files, `dataset` manages the output folder, `work` processes one file or a part of it, `pool` and
`cluster` run the workers, `seams` joins the parts of a long file, and `command` calls these modules.
"""

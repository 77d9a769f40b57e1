"""The words of pipelines, as type checkers see them; at run time they are those of `ceylon.pipelines.building`."""

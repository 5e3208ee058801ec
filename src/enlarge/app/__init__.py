"""The web app (`enlarge app`): upload, enlarge, compare, download. Needs the extra `[app]`.

`page` is what Streamlit runs. Pictures travel from an upload into the visitor's own folder
(`visit`), wait for their turn (`queue`), go through the same library calls as the command line's
(`work`), and come back as what a browser can show (`views`) in components of our own (`viewer`).
"""

"""A page that runs a model in the browser: its files, what they are checked by, and the small server that hands them out.

Design choices:
- The page is the same for all models. What differs is said by `model.json`, and done by the halves that kinds of inputs, tasks
  and apps have in JavaScript (`static/model.js` says what they export). They lie in their rooms, in a folder `demo`.
- LiteRT.js runs the file itself, the one that passed the gate. Of its WebAssembly the variant that every browser runs is taken:
  9 MB instead of 19, and every machine computes alike.
- Nothing is contacted but where the page came from: a content policy, in the page and in each answer of the server, sees to it.
- No threads, so no headers are needed that a server of static files does not send.
"""

${_('hello')} ${_('bye')} ${ungettext('%d file', '%d files', 3) % 3} ${x} ${x | n} ${h.text('n', x)}
<%def name="part(x='d')">part ${x} ${h.literal('<i>')}</%def>

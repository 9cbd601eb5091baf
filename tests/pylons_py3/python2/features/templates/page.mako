<p>${c.value}</p>${h.link_to(c.value, url('home'))} ${request.path}

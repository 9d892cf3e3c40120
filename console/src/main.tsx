import { render } from 'preact'
import { App } from './app'
import { takeTokenFromAddress } from './session/token'

takeTokenFromAddress()
// The link may be opened in a tab that shows the console already.
addEventListener('hashchange', takeTokenFromAddress)
render(<App />, document.getElementById('app')!)
